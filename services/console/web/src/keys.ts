// Single-letter keys: off in text fields and under dialogs, and off altogether for who turned them off (WCAG 2.1.4).
import { useEffect } from 'react'

const setting = 'andon-keys'
export const keysAreOn = (): boolean => localStorage.getItem(setting) !== 'off'
export const turnKeys = (on: boolean): void => localStorage.setItem(setting, on ? 'on' : 'off')

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement

/** Calls back with the key pressed, `H` for Shift H. Escape always arrives, whatever is focused. */
export const useKeys = (onKey: (key: string, event: KeyboardEvent) => void): void => {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (document.querySelector('dialog[open]') || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key !== 'Escape' && (isTyping(event.target) || !keysAreOn())) return
      onKey(event.key, event)
    }
    addEventListener('keydown', listen)
    return () => removeEventListener('keydown', listen)
  }, [onKey])
}
