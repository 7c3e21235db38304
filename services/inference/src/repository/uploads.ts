// A model whose files came with the request that loads it, as tritonclient's load_model(files=…) sends them: a folder in memory, of one
// model, that lives as long as it is loaded.

import { sha256Hex } from '@andon/kit'
import { controlRefused, repositoryUnreadable } from '../errors.ts'
import { digestOf } from './folder.ts'
import type { Folder, FolderModel } from './folder.ts'
import { isPlainName } from './model-config.ts'
import type { ConfigText } from './config-text.ts'

/** `files` by `<version>/<name>`, as the request says; throws where a path is something else. */
export const uploadedFolder = (
  model: string,
  files: ReadonlyMap<string, Uint8Array>,
): { readonly folder: Folder; readonly seen: FolderModel } => {
  if (!isPlainName(model)) throw controlRefused(`Expected a name for the model without slashes, got ${JSON.stringify(model)}`, model)
  const versions = new Map<number, Map<string, Uint8Array>>()
  for (const [path, bytes] of files) {
    const [, version, name] = /^([1-9]\d{0,8})\/([^/]+)$/.exec(path) ?? []
    if (version === undefined || name === undefined || !isPlainName(name))
      throw controlRefused(`Model ${model}: expected files as <version>/<name>, got ${JSON.stringify(path)}`, model)
    versions.set(Number(version), (versions.get(Number(version)) ?? new Map<string, Uint8Array>()).set(name, bytes))
  }
  const refuse = (what: string): Promise<never> => Promise.reject(repositoryUnreadable(`${model} (uploaded)`, what))
  return {
    seen: {
      name: model,
      versions: [...versions.keys()].toSorted((a, b) => a - b),
      mark: 'uploaded',
      versionMarks: new Map(
        [...versions].map(([version, of]) => [version, [...of].map(([name, bytes]) => `${name} ${sha256Hex(bytes)}`).join('\n')]),
      ),
    },
    folder: {
      look: () => Promise.resolve(new Map()),
      readConfig: (): Promise<ConfigText> => refuse('no configuration: the parameter config has to come with the files'),
      readLabels: (_model, filename) => refuse(`no labels in ${filename}: only files of versions are taken with a request`),
      readVersion: (_model, version, declared) => {
        const own = versions.get(version)
        const bytes = own?.get(declared.filename)
        if (
          declared.config.modelWarmup.some(({ inputs }) =>
            Object.values(inputs).some((input) => input.inputDataType?.$case === 'inputDataFile'),
          )
        )
          return refuse('no warm-up inputs: only files of versions are taken with a request')
        if (own === undefined || bytes === undefined) return refuse(`no file ${version}/${declared.filename}`)
        const externalData = new Map([...own].filter(([name]) => name !== declared.filename))
        return Promise.resolve({ bytes, externalData, warmUpFiles: new Map(), digest: digestOf(bytes, externalData, declared) })
      },
    },
  }
}
