"""A TCP proxy that adds to the round-trip time, and counts round trips: how often a client speaks after an answer."""

import collections
import socket
import threading
import time


class Proxy:
    """What a client sends arrives `delay` seconds later; what comes back passes at once."""

    def __init__(self, port, delay):
        self.target, self.delay, self.round_trips = port, delay, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            state = {"answered": True}
            sent, ready = collections.deque(), threading.Semaphore(0)
            for target, arguments in (
                (self.receive, (client, sent, ready, state)),
                (self.forward, (server, sent, ready)),
                (self.answer, (server, client, state)),
            ):
                threading.Thread(target=target, args=arguments, daemon=True).start()

    def receive(self, client, sent, ready, state):
        while True:
            try:
                data = client.recv(1 << 16)
            except OSError:
                data = b""
            if data and state["answered"]:
                state["answered"] = False
                self.round_trips += 1
            sent.append((time.monotonic() + self.delay, data))
            ready.release()
            if not data:
                return

    @staticmethod
    def forward(server, sent, ready):
        while True:
            ready.acquire()
            due, data = sent.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    server.shutdown(socket.SHUT_WR)
                    return
                server.sendall(data)
            except OSError:
                return

    @staticmethod
    def answer(server, client, state):
        while True:
            try:
                data = server.recv(1 << 16)
                if not data:
                    client.close()
                    server.close()
                    return
                state["answered"] = True
                client.sendall(data)
            except OSError:
                return
