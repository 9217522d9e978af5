// A node of the DHT made of bittorrent-dht, for tests.
//
//   node dht_node.mjs PACKAGES node PORT                     answers until it is told to stop
//   node dht_node.mjs PACKAGES announce HOST:PORT HASH PORT  announces a peer by way of a node, and goes on answering
//   node dht_node.mjs PACKAGES lookup HOST:PORT HASH         prints "peer HOST:PORT" for each that it finds
//
// PACKAGES is the folder in which npm has installed bittorrent-dht.

import { pathToFileURL } from 'node:url'

const [packages, role, at, hash, port] = process.argv.slice(2)
const { Client } = await import(pathToFileURL(packages + '/node_modules/bittorrent-dht/index.js'))

const dht = new Client({ bootstrap: role === 'node' ? [] : [at] })
dht.on('warning', err => console.log('warning', err.message))
dht.on('error', err => { console.error(err); process.exit(1) })
process.on('SIGTERM', () => process.exit(0))

dht.listen(role === 'node' ? Number(at) : 0, '127.0.0.1', () => console.log('listening'))
if (role !== 'node') {
  dht.on('ready', () => {
    if (role === 'announce') {
      dht.announce(hash, Number(port), err => console.log(err ? 'failed ' + err.message : 'announced'))
      return
    }
    dht.on('peer', peer => console.log(`peer ${peer.host}:${peer.port}`))
    const again = () => dht.lookup(hash, () => setTimeout(again, 1000))
    again()
  })
}
