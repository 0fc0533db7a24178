"""Forwards port 53 of an address to a name server: port53.py ADDRESS SERVER:PORT. For programs that ask no other port."""

import socket
import socketserver
import sys
import threading

address, _, server = sys.argv[1], None, sys.argv[2].rsplit(":", 1)
server = (server[0], int(server[1]))


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        question, front = self.request
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.settimeout(5)
            back.sendto(question, server)
            front.sendto(back.recv(65535), self.client_address)


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(server, 5) as back:
            self.request.settimeout(5)
            while chunk := self.request.recv(65535):
                back.sendall(chunk)
                self.request.sendall(back.recv(65535))


class Datagrams(socketserver.ThreadingUDPServer):
    daemon_threads = True


class Streams(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


datagrams, streams = Datagrams((address, 53), Datagram), Streams((address, 53), Stream)
threading.Thread(target=datagrams.serve_forever, daemon=True).start()
print("ready", flush=True)
streams.serve_forever()
