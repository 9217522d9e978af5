"""Downloads or seeds one torrent with libtorrent's Python binding.

libtorrent_client.py tuned|defaults leech|seed TORRENT DIR HOST PORT

It listens on HOST:PORT for peers over TCP. It prints "verified" when all of the
payload is in DIR and checked, and runs until SIGTERM.
"""

import os
import signal
import sys

import libtorrent as lt

# So that nobody but the peers that connect to it takes part.
ALONE = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification,
}

MIB = 1 << 20
CORES = os.cpu_count()
TUNED = {
    # Plain TCP.
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "in_enc_policy": int(lt.enc_policy.disabled),
    "out_enc_policy": int(lt.enc_policy.disabled),
    # Many peers, all of them served.
    "connections_limit": 8000,
    "unchoke_slots_limit": -1,
    "listen_queue_size": 3000,
    "mixed_mode_algorithm": int(lt.bandwidth_mixed_algo_t.prefer_tcp),
    # Much under way to and from each.
    "max_out_request_queue": 3000,
    "max_allowed_in_request_queue": 5000,
    "request_queue_time": 10,
    "max_peer_recv_buffer_size": 5 * MIB,
    "send_buffer_low_watermark": 256 << 10,
    "send_buffer_watermark": 1 * MIB,
    "send_buffer_watermark_factor": 150,
    "send_not_sent_low_watermark": 512 << 10,
    # One core hashes while another receives and writes; with more threads than
    # that they only take turns.
    "aio_threads": max(2, CORES),
    "hashing_threads": max(1, CORES // 2),
    "disk_write_mode": 0,  # always_pwrite
    "max_queued_disk_bytes": 64 * MIB,
    "file_pool_size": 5000,
    "checking_mem_usage": 2048,
}


def main(profile, role, torrent, folder, host, port):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    settings = dict(ALONE, listen_interfaces=host + ":" + port)
    parameters = lt.add_torrent_params()
    if profile == "tuned":
        settings.update(TUNED)
        if role == "seed":
            settings["aio_threads"] = 1  # Reads come from the page cache.
        # The kernel then need not find a place for every block that comes.
        parameters.storage_mode = lt.storage_mode_t.storage_mode_allocate
    session = lt.session(settings)
    parameters.ti = lt.torrent_info(torrent)
    parameters.save_path = folder
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    session.add_torrent(parameters)
    while not stopped:
        session.wait_for_alert(1000)  # Milliseconds; a signal is seen no sooner.
        for alert in session.pop_alerts():
            print(alert.what() + ": " + alert.message(), flush=True)
            if isinstance(alert, lt.torrent_finished_alert):
                print("verified", flush=True)


main(*sys.argv[1:])
