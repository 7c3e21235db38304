// What the simulated cameras see: ffmpeg filter graphs of a press, drawn live. Front and rear are told apart at a glance.

export type SceneName = 'press-front' | 'press-rear'
export const sceneNames: readonly SceneName[] = ['press-front', 'press-rear']

export const isScene = (name: string): name is SceneName => (sceneNames as readonly string[]).includes(name)

export const picture = { width: 640, height: 360, framesPerS: 10 } as const

const source = (color: string, width: number, height: number, label: string) =>
  `color=c=${color}:s=${width}x${height}:r=${picture.framesPerS}[${label}]`
const box = (x: number, y: number, w: number, h: number, color: string) => `drawbox=x=${x}:y=${y}:w=${w}:h=${h}:color=${color}:t=fill`
const label = (text: string, x: number, y: number, size: number, color = 'white') =>
  `drawtext=text='${text}':x=${x}:y=${y}:fontsize=${size}:fontcolor=${color}`
/** Wall clock of the camera, burned in as cameras do; Andon never trusts it. */
const clock = (x: number, y: number) =>
  String.raw`drawtext=text='%{gmtime\:%Y-%m-%d %H\\\:%M\\\:%S} UTC':x=${x}:y=${y}:fontsize=16:fontcolor=white`
const overlay = (under: string, over: string, x: string, y: string, out: string) =>
  `[${under}][${over}]overlay=x='${x}':y='${y}':eval=frame:format=yuv420[${out}]`

/** Frame, table and columns of the press; one stroke takes 0.92 s, as in press.ts. */
const front = (running: boolean): string[] => {
  const ram = running ? '60+40*(1-cos(2*PI*t/0.92))' : '60'
  const part = running ? 'mod(t*130,760)-80' : '280'
  return [
    source('0x171c21', picture.width, picture.height, 'wall'),
    source('0xb9bec4', 168, 62, 'ram'),
    source('0xd98a2b', 64, 22, 'part'),
    source(running ? '0x3fb950' : '0xf0b429', 22, 22, 'lamp'),
    `[wall]${[
      box(0, 288, 640, 72, '0x33393f'),
      box(0, 270, 640, 18, '0x596169'),
      box(200, 30, 30, 240, '0x2f5d8a'),
      box(410, 30, 30, 240, '0x2f5d8a'),
      box(186, 14, 268, 46, '0x24486b'),
      box(226, 236, 188, 34, '0x4b5258'),
      label('PRESS 1 FRONT', 14, 12, 20),
      clock(14, 336),
    ].join(',')}[bg]`,
    overlay('bg', 'ram', '236', ram, 'a'),
    overlay('a', 'part', part, '248', 'b'),
    overlay('b', 'lamp', running ? '586' : 'if(lt(mod(t,2),1),586,-60)', '30', 'c'),
    `[c]${label(running ? 'RUNNING' : 'STOPPED', 470, 64, 18)}[out]`,
  ]
}

/** Drive side: motor, belt and the two hydraulic cylinders; finished parts leave to the left. */
const rear = (running: boolean): string[] => {
  const belt = running ? '96+mod(t*210,170)' : '170'
  const rod = running ? '130+20*(1-cos(2*PI*t/0.92))' : '130'
  const part = running ? '660-mod(t*95,760)' : '320'
  return [
    source('0x241d18', picture.width, picture.height, 'wall'),
    source('0xc9b458', 16, 40, 'belt'),
    source('0x9aa3ab', 26, 112, 'rodl'),
    source('0x9aa3ab', 26, 112, 'rodr'),
    source('0xd98a2b', 48, 18, 'part'),
    source(running ? '0x3fb950' : '0xf0b429', 22, 22, 'lamp'),
    `[wall]${[
      box(0, 300, 640, 60, '0x3b342e'),
      box(60, 200, 170, 90, '0x6b2f2f'),
      box(100, 80, 90, 200, '0x4a4038'),
      box(330, 50, 250, 40, '0x5c4a2c'),
      box(350, 90, 50, 80, '0x7a6a45'),
      box(510, 90, 50, 80, '0x7a6a45'),
      box(320, 282, 270, 18, '0x596169'),
      label('PRESS 1 REAR', 14, 12, 20),
      label('drive', 118, 236, 18),
      clock(14, 336),
    ].join(',')}[bg]`,
    overlay('bg', 'belt', '137', belt, 'a'),
    overlay('a', 'rodl', '362', rod, 'b'),
    overlay('b', 'rodr', '522', rod, 'c'),
    overlay('c', 'part', part, '306', 'd'),
    overlay('d', 'lamp', running ? '598' : 'if(lt(mod(t,2),1),598,-60)', '24', 'e'),
    `[e]${label(running ? 'RUNNING' : 'STOPPED', 476, 26, 18)}[out]`,
  ]
}

/** Arguments that make ffmpeg produce the scene in real time on [out]. */
export const sceneInput = (scene: SceneName, running: boolean): string[] => {
  const graph = scene === 'press-front' ? front(running) : rear(running)
  return ['-filter_complex', [...graph.slice(0, -1), graph.at(-1)!.replace('[out]', ',realtime[out]')].join(';')]
}

/**
 * Encoder and container, as asked of a real camera: H.264, closed GOPs of 1 s, no B-frames, parameters that never change.
 * `offsetS` lets a new encoder go on at the camera's time.
 */
export const cameraOutput = (offsetS: number): string[] => {
  const gop = `${picture.framesPerS}`
  const encoder = `-c:v libx264 -preset ultrafast -tune zerolatency -crf 27 -pix_fmt yuv420p -threads 1`
  const groups = `-g ${gop} -keyint_min ${gop} -sc_threshold 0 -bf 0 -flags +cgop`
  const container = `-output_ts_offset ${offsetS.toFixed(3)} -f mpegts -mpegts_flags +pat_pmt_at_frames -flush_packets 1 pipe:1`
  return `${encoder} ${groups} ${container}`.split(' ')
}
