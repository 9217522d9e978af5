"""A BitTorrent client made of libtorrent's Python binding, for tests.

libtorrent_peer.py create TORRENT PATH PIECE_LENGTH ANNOUNCE [pad] [private]
libtorrent_peer.py hash TORRENT
libtorrent_peer.py seed|leech TORRENT|MAGNET DIR PORT [FILE,FILE...] [encrypt] [utp] [dht=HOST:PORT] [local=ADDRESS]

create makes a torrent of version 1. leech ends when the download of all files,
or of those whose numbers are given, is complete;
seed goes on until it is told to stop. Peers are found by the torrent's trackers
alone, or in the DHT by way of that node, or by multicast from that address,
over plain TCP or, by utp, over uTP alone, on which encryption is refused or, by
encrypt, required.
"""

import os
import signal
import sys
import time

import libtorrent as lt


def create(torrent, path, piece_length, announce, *options):
    flags = lt.create_torrent.v1_only
    if "pad" in options:
        flags |= lt.create_torrent.canonical_files
    files = lt.file_storage()
    lt.add_files(files, path)
    t = lt.create_torrent(files, int(piece_length), flags)
    t.add_tracker(announce)
    if "private" in options:
        t.set_priv(True)
    lt.set_piece_hashes(t, os.path.dirname(os.path.abspath(path)))
    with open(torrent, "wb") as f:
        f.write(lt.bencode(t.generate()))


def run(mode, torrent, folder, port, *options):
    policy = lt.enc_policy.forced if "encrypt" in options else lt.enc_policy.disabled
    dht = [o.removeprefix("dht=") for o in options if o.startswith("dht=")]
    utp = "utp" in options
    local = [o.removeprefix("local=") for o in options if o.startswith("local=")]
    files = next((o for o in options if o not in ("encrypt", "utp") and "=" not in o), None)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    session = lt.session({
        "listen_interfaces": (local or ["127.0.0.1"])[0] + ":" + port,
        "enable_dht": bool(dht), "dht_bootstrap_nodes": ",".join(dht),
        # All nodes are on one machine.
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_ignore_dark_internet": False,
        "enable_lsd": bool(local), "enable_upnp": False, "enable_natpmp": False,
        # Over loopback it would choose uTP, and crawl.
        "enable_outgoing_utp": utp, "enable_incoming_utp": utp,
        "enable_outgoing_tcp": not utp, "enable_incoming_tcp": not utp,
        "in_enc_policy": int(policy), "out_enc_policy": int(policy), "allowed_enc_level": int(lt.enc_level.both),
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
        | lt.alert.category_t.tracker_notification | lt.alert.category_t.connect_notification
        | lt.alert.category_t.peer_notification,
    })
    if torrent.startswith("magnet:"):
        params = lt.parse_magnet_uri(torrent)
        params.save_path = folder
        handle = session.add_torrent(params)
    else:
        params = {"ti": lt.torrent_info(torrent), "save_path": folder}
        if files:
            wanted = {int(n) for n in files.split(",")}
            params["file_priorities"] = [4 if n in wanted else 0 for n in range(params["ti"].num_files())]
        handle = session.add_torrent(params)
    last = None
    announced = 0
    while not stopped:
        if dht and time.monotonic() - announced > 2:  # By itself it does so each quarter of an hour.
            announced = time.monotonic()
            handle.force_dht_announce()
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            print(alert.what() + ":", alert.message(), flush=True)
        status = handle.status()
        line = "%s %.1f%% peers=%d" % (status.state, status.progress * 100, status.num_peers)
        if line != last:
            last = line
            print(line, flush=True)
        if status.errc.value() != 0:
            sys.exit(status.errc.message())
        if mode == "leech" and status.is_finished:
            break
    # Files are written behind; the session's end waits for that.
    session.remove_torrent(handle)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        session.wait_for_alert(100)
        if any(isinstance(a, lt.torrent_removed_alert) for a in session.pop_alerts()):
            break


def main(command, *args):
    if command == "create":
        create(*args)
    elif command == "hash":
        print(lt.torrent_info(args[0]).info_hash())
    else:
        run(command, *args)


main(*sys.argv[1:])
