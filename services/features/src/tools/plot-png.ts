// SVG → PNG, with fonts of our own: the same picture on every machine, also in an image without fonts.

import { fileURLToPath } from 'node:url'
import { Resvg } from '@resvg/resvg-js'

/** `scale` 2 is sharp on screens of high density and in print. */
export const pngOf = (svg: string, scale = 2): Buffer => {
  const resvg = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: scale },
    font: {
      loadSystemFonts: false,
      fontFiles: [
        import.meta.resolve('dejavu-fonts-ttf/ttf/DejaVuSans.ttf'),
        import.meta.resolve('dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf'),
      ].map((url) => fileURLToPath(url)),
      defaultFontFamily: 'DejaVu Sans',
    },
  })
  return Buffer.from(resvg.render().asPng())
}
