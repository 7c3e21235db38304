// SVG → PNG, with fonts of our own: the same picture on every machine, also in an image without fonts.

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Resvg } from '@resvg/resvg-js'

/** `scale` 2 is sharp on screens of high density and in print. */
export const pngOf = (svg: string, scale = 2): Buffer => {
  const fonts = join(dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')), 'ttf')
  const resvg = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: scale },
    font: {
      loadSystemFonts: false,
      fontFiles: ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((file) => join(fonts, file)),
      defaultFontFamily: 'DejaVu Sans',
    },
  })
  return Buffer.from(resvg.render().asPng())
}
