// Every route of the HTTP door, and OpenAPI 3.1 of them, served at /openapi.json: what is listed here is routed, and the reverse.

export interface Route {
  readonly name: string
  readonly method: 'get' | 'post'
  readonly path: string
  readonly summary: string
  /** Schemas of components. */
  readonly takes?: string
  readonly gives?: string
  readonly codes?: readonly number[]
}

const models = '/v2/models/{model}'
const versions = `${models}/versions/{version}`
const repository = '/v2/repository'
const system = '/v2/systemsharedmemory'
const cuda = '/v2/cudasharedmemory'

export const routes = [
  { name: 'live', method: 'get', path: '/v2/health/live', summary: 'The server answers', gives: 'Live' },
  {
    name: 'ready',
    method: 'get',
    path: '/v2/health/ready',
    summary: 'Every model that should be there is ready',
    gives: 'Ready',
    codes: [503],
  },
  { name: 'server', method: 'get', path: '/v2', summary: 'Name, version and extensions of the server', gives: 'Server' },
  { name: 'statistics', method: 'get', path: '/v2/models/stats', summary: 'Statistics of all models', gives: 'Statistics' },
  {
    name: 'modelReady',
    method: 'get',
    path: `${models}/ready`,
    summary: 'The model can be scored now',
    gives: 'ModelReady',
    codes: [400, 404],
  },
  {
    name: 'versionReady',
    method: 'get',
    path: `${versions}/ready`,
    summary: 'The version can be scored now',
    gives: 'ModelReady',
    codes: [400, 404],
  },
  { name: 'model', method: 'get', path: models, summary: 'What the model takes and gives', gives: 'Model', codes: [404] },
  { name: 'version', method: 'get', path: versions, summary: 'What the version takes and gives', gives: 'Model', codes: [404] },
  { name: 'modelConfig', method: 'get', path: `${models}/config`, summary: "The model's configuration", gives: 'Config', codes: [404] },
  {
    name: 'versionConfig',
    method: 'get',
    path: `${versions}/config`,
    summary: "The version's configuration",
    gives: 'Config',
    codes: [404],
  },
  {
    name: 'modelStatistics',
    method: 'get',
    path: `${models}/stats`,
    summary: 'Statistics of the model',
    gives: 'Statistics',
    codes: [404],
  },
  {
    name: 'versionStatistics',
    method: 'get',
    path: `${versions}/stats`,
    summary: 'Statistics of the version',
    gives: 'Statistics',
    codes: [404],
  },
  {
    name: 'infer',
    method: 'post',
    path: `${models}/infer`,
    summary: 'Scores tensors',
    takes: 'InferRequest',
    gives: 'InferResponse',
    codes: [400, 404, 409, 413, 415, 500, 501, 502, 503, 504],
  },
  {
    name: 'versionInfer',
    method: 'post',
    path: `${versions}/infer`,
    summary: 'Scores tensors with one version',
    takes: 'InferRequest',
    gives: 'InferResponse',
    codes: [400, 404, 409, 413, 415, 500, 501, 502, 503, 504],
  },
  {
    name: 'index',
    method: 'post',
    path: `${repository}/index`,
    summary: 'Models and their state',
    takes: 'IndexRequest',
    gives: 'Index',
    codes: [400],
  },
  {
    name: 'load',
    method: 'post',
    path: `${repository}/models/{model}/load`,
    summary: 'Loads a model, or loads it again',
    takes: 'LoadRequest',
    gives: 'Done',
    codes: [400, 404],
  },
  {
    name: 'unload',
    method: 'post',
    path: `${repository}/models/{model}/unload`,
    summary: 'Unloads a model',
    takes: 'UnloadRequest',
    gives: 'Done',
    codes: [400, 404],
  },
  {
    name: 'namedIndex',
    method: 'post',
    path: `${repository}/{repository}/index`,
    summary: 'The same; there is one repository, whatever its name',
    takes: 'IndexRequest',
    gives: 'Index',
    codes: [400],
  },
  {
    name: 'namedLoad',
    method: 'post',
    path: `${repository}/{repository}/models/{model}/load`,
    summary: 'Loads a model, or loads it again',
    takes: 'LoadRequest',
    gives: 'Done',
    codes: [400, 404],
  },
  {
    name: 'namedUnload',
    method: 'post',
    path: `${repository}/{repository}/models/{model}/unload`,
    summary: 'Unloads a model',
    takes: 'UnloadRequest',
    gives: 'Done',
    codes: [400, 404],
  },
  { name: 'trace', method: 'get', path: '/v2/trace/setting', summary: 'Which requests leave a line in the log', gives: 'TraceSettings' },
  {
    name: 'changeTrace',
    method: 'post',
    path: '/v2/trace/setting',
    summary: 'Changes that',
    takes: 'TraceSettings',
    gives: 'TraceSettings',
    codes: [400, 501],
  },
  {
    name: 'modelTrace',
    method: 'get',
    path: `${models}/trace/setting`,
    summary: 'The same, of one model',
    gives: 'TraceSettings',
    codes: [400],
  },
  {
    name: 'changeModelTrace',
    method: 'post',
    path: `${models}/trace/setting`,
    summary: 'Changes that',
    takes: 'TraceSettings',
    gives: 'TraceSettings',
    codes: [400, 501],
  },
  { name: 'log', method: 'get', path: '/v2/logging', summary: 'What the service logs', gives: 'LogSettings' },
  {
    name: 'changeLog',
    method: 'post',
    path: '/v2/logging',
    summary: 'Changes that until the next start',
    takes: 'LogSettings',
    gives: 'LogSettings',
    codes: [400, 501],
  },
  { name: 'systemStatus', method: 'get', path: `${system}/status`, summary: 'Regions of shared memory: none', gives: 'Regions' },
  { name: 'systemRegionStatus', method: 'get', path: `${system}/region/{region}/status`, summary: 'There are none', codes: [501] },
  { name: 'systemRegister', method: 'post', path: `${system}/region/{region}/register`, summary: 'There are none', codes: [501] },
  { name: 'systemUnregister', method: 'post', path: `${system}/region/{region}/unregister`, summary: 'There are none', codes: [501] },
  {
    name: 'systemUnregisterAll',
    method: 'post',
    path: `${system}/unregister`,
    summary: 'Forgets all regions, of which there are none',
    gives: 'Done',
  },
  { name: 'cudaStatus', method: 'get', path: `${cuda}/status`, summary: 'Regions of GPU memory: none', gives: 'Regions' },
  { name: 'cudaRegionStatus', method: 'get', path: `${cuda}/region/{region}/status`, summary: 'There are none', codes: [501] },
  { name: 'cudaRegister', method: 'post', path: `${cuda}/region/{region}/register`, summary: 'There are none', codes: [501] },
  { name: 'cudaUnregister', method: 'post', path: `${cuda}/region/{region}/unregister`, summary: 'There are none', codes: [501] },
  {
    name: 'cudaUnregisterAll',
    method: 'post',
    path: `${cuda}/unregister`,
    summary: 'Forgets all regions, of which there are none',
    gives: 'Done',
  },
  { name: 'openApi', method: 'get', path: '/openapi.json', summary: 'This document', gives: 'OpenApi' },
] as const satisfies readonly Route[]

export type RouteName = (typeof routes)[number]['name']

const reference = (name: string): object => ({ $ref: `#/components/schemas/${name}` })
const text = { type: 'string' }
const shape = { type: 'array', items: { type: 'integer' } }
const parameters = { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } }
const datatype = {
  enum: ['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64', 'FP16', 'FP32', 'FP64', 'BYTES', 'BF16'],
}
const data = { type: 'array', description: 'Row-major, flat or nested; FP16 and BF16 are binary only' }
const object = (properties: Record<string, object>, required: readonly string[] = Object.keys(properties)): object => ({
  type: 'object',
  required,
  properties,
})

const specs = { type: 'array', items: object({ name: text, datatype, shape }) }

const schemas: Readonly<Record<string, object>> = {
  Live: object({ live: { type: 'boolean' } }),
  Ready: object({ ready: { type: 'boolean' } }),
  ModelReady: object({ name: text, ready: { type: 'boolean' } }),
  Server: object({ name: text, version: text, extensions: { type: 'array', items: text } }),
  Model: object({ name: text, versions: { type: 'array', items: text }, platform: text, inputs: specs, outputs: specs }),
  Config: { type: 'object', description: "inference.ModelConfig in the .proto's names" },
  Statistics: object({ model_stats: { type: 'array', items: { type: 'object', description: 'inference.ModelStatistics' } } }),
  InferRequest: object(
    {
      id: text,
      parameters: { ...parameters, description: 'priority, timeout (microseconds), sequence_id …, binary_data_output, andon_asset' },
      inputs: {
        type: 'array',
        items: object(
          { name: text, datatype, shape, data, parameters: { ...parameters, description: 'binary_data_size: its bytes after the JSON' } },
          ['name', 'datatype', 'shape'],
        ),
      },
      outputs: {
        type: 'array',
        items: object({ name: text, parameters: { ...parameters, description: 'binary_data, classification' } }, ['name']),
      },
    },
    ['inputs'],
  ),
  InferResponse: object(
    {
      id: text,
      model_name: text,
      model_version: text,
      parameters,
      outputs: { type: 'array', items: object({ name: text, datatype, shape, data, parameters }, ['name', 'datatype', 'shape']) },
    },
    ['model_name', 'model_version', 'outputs'],
  ),
  IndexRequest: object({ ready: { type: 'boolean' } }, []),
  Index: {
    type: 'array',
    items: object({ name: text, version: text, state: { enum: ['READY', 'LOADING', 'UNLOADING', 'UNAVAILABLE'] }, reason: text }, [
      'name',
      'state',
    ]),
  },
  LoadRequest: object(
    {
      parameters: {
        type: 'object',
        description: 'config: JSON in the place of the folder’s; file:<version>/<name>: base64',
        additionalProperties: text,
      },
    },
    [],
  ),
  UnloadRequest: object({ parameters: object({ unload_dependents: { type: 'boolean' } }, []) }, []),
  Done: { type: 'object' },
  TraceSettings: { type: 'object', additionalProperties: { type: ['string', 'array', 'null'], items: text } },
  LogSettings: { type: 'object', additionalProperties: { type: ['string', 'integer', 'boolean', 'null'] } },
  Regions: { type: 'array', maxItems: 0 },
  OpenApi: { type: 'object' },
  Problem: object(
    {
      type: text,
      title: text,
      status: { type: 'integer' },
      detail: text,
      code: text,
      error: { ...text, description: 'The detail, where clients of the protocol read it' },
      fields: { type: 'object' },
    },
    ['type', 'title', 'status', 'detail', 'code', 'error'],
  ),
}

const descriptions: Readonly<Record<number, string>> = {
  400: 'The request does not fit; names tensor or field, what is expected, what was found',
  404: 'No such model or version',
  409: 'Another artefact has that name and version',
  413: 'The body is too large',
  415: 'Compressed with something other than gzip or deflate',
  500: 'The model failed on this input, or cannot be run here',
  501: 'Part of the protocol that is not here',
  502: 'Another server that runs the model failed',
  503: 'Not now: the queue is full, a worker was lost, or models are being loaded',
  504: 'Its time was over before it was run',
}

const binaryHeader = { description: 'Bytes of JSON at the start of the body; binary tensors follow', schema: { type: 'integer' } }
const content = (schema: string, isInfer: boolean): object => ({
  'application/json': { schema: reference(schema) },
  ...(isInfer
    ? { 'application/octet-stream': { schema: { type: 'string', format: 'binary', description: 'JSON, then binary tensors' } } }
    : {}),
})

const operation = ({ name, path, summary, takes, gives, codes = [] }: Route): object => {
  const isInfer = takes === 'InferRequest'
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => ({ name: parameter, in: 'path', required: true, schema: text }))
  const inHeader = isInfer
    ? [
        { name: 'Inference-Header-Content-Length', in: 'header', ...binaryHeader },
        { name: 'Content-Encoding', in: 'header', schema: { enum: ['gzip', 'deflate', 'identity'] } },
        { name: 'Accept-Encoding', in: 'header', schema: text, description: 'Exactly gzip or deflate: the answer is compressed' },
      ]
    : []
  const headers = isInfer ? { headers: { 'Inference-Header-Content-Length': binaryHeader } } : {}
  return {
    operationId: name,
    summary,
    ...(inPath.length + inHeader.length === 0 ? {} : { parameters: [...inPath, ...inHeader] }),
    ...(takes === undefined ? {} : { requestBody: { required: isInfer, content: content(takes, isInfer) } }),
    responses: {
      ...(gives === undefined ? {} : { '200': { description: 'As asked', ...headers, content: content(gives, isInfer) } }),
      ...Object.fromEntries(
        codes.map((code) => [
          String(code),
          {
            description: descriptions[code],
            content: { 'application/json': { schema: reference('Problem') }, 'application/problem+json': { schema: reference('Problem') } },
          },
        ]),
      ),
    },
  }
}

/** The document; every object in it is fresh. */
export const openApi = (): object => {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) (paths[route.path] ??= {})[route.method] = operation(route)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Andon inference',
      version: '2.0.0',
      summary: 'Open Inference Protocol v2 over HTTP, as Triton extends it',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: { schemas },
  }
}
