// The fixed part of a record batch, magic 2: offset 8, length 4, leader epoch 4, magic 1, crc 4, attributes 2, last offset
// delta 4, first and highest timestamp 8 + 8, producer id 8, producer epoch 2, first sequence 4, count 4.

/** Bytes of a batch before its records. */
export const HEAD = 61
export const COMPRESSION_MASK = 7
export const APPEND_TIME = 8
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20
