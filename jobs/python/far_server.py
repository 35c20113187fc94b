"""A web server for the files beside it that takes its time, as one far away does: `far_server.py PORT SECONDS`."""

import sys
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the waiting is to be SECONDS, not the network's own

    def do_GET(self):
        time.sleep(SECONDS)
        super().do_GET()


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", PORT), Handler).serve_forever()
