"""A TLS server that fails when it is to resume a session: Python's ssl with an empty session id context, as programs have
that ask for client certificates and forget it. `unresumable.py CERTIFICATE KEY TLSv1_2|TLSv1_3 direct|starttls`; it prints its port."""

import ctypes
import socket
import ssl
import sys

certificate, key, version, mode = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.maximum_version = getattr(ssl.TLSVersion, version)
context.verify_mode = ssl.CERT_OPTIONAL
context.load_verify_locations(certificate)
# Python sets a context of its own; OpenSSL's default, which C programs have, is none.
libssl = ctypes.CDLL('libssl.so.3')
libssl.SSL_CTX_set_session_id_context.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]
libssl.SSL_CTX_set_session_id_context(ctypes.c_void_p.from_address(id(context) + 16).value, b'', 0)

NEGOTIATION = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
    b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    try:
        connection = listener.accept()[0]
        if mode == 'starttls':
            asked = b''
            while b'<starttls' not in asked:
                asked += connection.recv(4096)
            connection.sendall(NEGOTIATION)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.write(b'<hi/>')
            secured.recv(9)
    except (OSError, ssl.SSLError) as error:
        print(error, file=sys.stderr)
