"""Fetches the URL it is given whenever it is asked, and answers with what it got."""

import http.server
import os
import sys
import urllib.request

TARGET = sys.argv[1]


class Probe(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with urllib.request.urlopen(TARGET, timeout=3) as answer:
                status, body = 200, b"web says: " + answer.read()
        except OSError as error:
            status, body = 502, f"{TARGET} does not answer: {error}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Probe).serve_forever()
