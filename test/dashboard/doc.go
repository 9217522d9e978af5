// Package dashboard tests the dashboard as people use it: headless Chromium
// shows the pages of the real command, which passes everything on to a real
// API server, and the operator downloads in a process of its own. "make
// browser" runs it; -write writes screenshots to docs/images, -measure
// measures.
package dashboard
