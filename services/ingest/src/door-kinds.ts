// Every door ingest can open, one line each.

import { httpDoorKind } from './adapters/http.ts'
import { kafkaDoorKind } from './adapters/kafka.ts'
import { kinesisDoorKind } from './adapters/kinesis.ts'
import { mqttClientDoorKind } from './adapters/mqtt-client.ts'
import { modbusDoorKind } from './adapters/modbus.ts'
import { mqttDoorKind } from './adapters/mqtt.ts'
import { natsDoorKind } from './adapters/nats.ts'
import { opcuaDoorKind } from './adapters/opcua.ts'
import { s7DoorKind } from './adapters/s7.ts'
import { sparkplugDoorKind } from './adapters/sparkplug.ts'
import { ethernetIpDoorKind } from './adapters/ethernet-ip.ts'
import { folderDoorKind } from './adapters/folder.ts'
import { tusDoorKind } from './adapters/tus.ts'
import { sftpDoorKind } from './adapters/sftp.ts'
import type { DoorKind } from './doors.ts'

export const doorKinds: readonly DoorKind[] = [
  httpDoorKind,
  mqttDoorKind,
  mqttClientDoorKind,
  natsDoorKind,
  sparkplugDoorKind,
  kafkaDoorKind,
  kinesisDoorKind,
  folderDoorKind,
  opcuaDoorKind,
  modbusDoorKind,
  s7DoorKind,
  ethernetIpDoorKind,
  tusDoorKind,
  sftpDoorKind,
]
