// Sets the theme before the first paint: ?theme=light|dark, else what was chosen before, else what the system prefers.
const asked = new URLSearchParams(location.search).get('theme')
const chosen = asked ?? localStorage.getItem('andon-theme') ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark')
document.documentElement.dataset.theme = chosen === 'light' ? 'light' : 'dark'
