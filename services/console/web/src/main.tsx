// Entry of the page.
import { createRoot } from 'react-dom/client'
import './tokens.css'
import './app.css'
import { App } from './app.tsx'

const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
