// Pairs of SSH keys that can be read again.

import ssh2 from 'ssh2'

export const isSshKey = (text: string): boolean => !(ssh2.utils.parseKey(text) instanceof Error)

/** An Ed25519 pair in OpenSSH's form. Of 256 pairs the library makes it writes one without a byte that is zero (mscdex/ssh2#1513). */
export const newSshKeys = (): { readonly private: string; readonly public: string } => {
  for (;;) {
    const keys = ssh2.utils.generateKeyPairSync('ed25519')
    if (isSshKey(keys.private) && isSshKey(keys.public)) return keys
  }
}
