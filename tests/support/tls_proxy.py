# SPDX-License-Identifier: BSL-1.0
# Speaks TLS on one port, and passes all bytes on to another one.
#   tls_proxy.py PORT TARGET CERTIFICATE KEY
import socket
import ssl
import sys
import threading


def copy(source, sink):
    try:
        while block := source.recv(65536):
            sink.sendall(block)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, context, target):
    try:
        server = socket.create_connection(('127.0.0.1', target))
        secure = context.wrap_socket(client, server_side=True)
    except OSError:
        client.close()
        return
    threading.Thread(target=copy, args=(server, secure), daemon=True).start()
    copy(secure, server)


port, target = int(sys.argv[1]), int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
listener = socket.create_server(('127.0.0.1', port), backlog=64)
while True:
    client = listener.accept()[0]
    threading.Thread(target=serve, args=(client, context, target), daemon=True).start()
