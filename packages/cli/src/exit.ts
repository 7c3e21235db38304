// Exit codes of every command; README.md explains them.

export const EXIT = { ok: 0, failed: 1, usage: 2, notRunning: 3, refused: 4 } as const
