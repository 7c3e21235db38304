// What the doors that take uploads share.

import { env } from '@andon/kit'

export const uploadSettings = {
  maxBytes: env.integer('INGEST_UPLOAD_MAX_BYTES', 'Longest file that may be uploaded (tus, SFTP)', 4 * 1024 ** 3),
  quotaBytes: env.integer(
    'INGEST_UPLOAD_QUOTA_BYTES',
    'Disk that files of one sender may take until they are imported (tus, SFTP)',
    16 * 1024 ** 3,
  ),
  expireS: env.integer('INGEST_UPLOAD_EXPIRE_S', 'An upload that is not finished within this is removed (tus, SFTP)', 86_400),
}
