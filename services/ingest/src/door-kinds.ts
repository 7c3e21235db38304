// Every door ingest can open, one line each.

import { folderDoorKind } from './adapters/folder.ts'
import { ethernetIpDoorKind } from './adapters/ethernet-ip.ts'
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
import { sftpDoorKind } from './adapters/sftp.ts'
import { tusDoorKind } from './adapters/tus.ts'
import type { DoorKind } from './doors.ts'

export const doorKinds: readonly DoorKind[] = [
  httpDoorKind,
  mqttDoorKind,
  mqttClientDoorKind,
  natsDoorKind,
  sparkplugDoorKind,
  kafkaDoorKind,
  kinesisDoorKind,
  opcuaDoorKind,
  modbusDoorKind,
  s7DoorKind,
  ethernetIpDoorKind,
  folderDoorKind,
  tusDoorKind,
  sftpDoorKind,
]
