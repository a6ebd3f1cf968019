"""HTTP as bytes, for what ordinary clients do not let one send: raw paths, chunked bodies, bodies that stop half-way."""
import http.client
import socket


def connection(server, timeout=30):
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)


def request(server, method, path, body=None, headers=None, timeout=30):
    """The path goes out exactly as given. Returns (status, headers, body)."""
    c = connection(server, timeout)
    try:
        c.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            c.putheader(name, value)
        if body is not None:
            c.putheader("Content-Length", str(len(body)))
        c.endheaders(body)
        reply = c.getresponse()
        return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()
    finally:
        c.close()


def chunked(server, path, pieces, headers, timeout=30):
    """POST with Transfer-Encoding: chunked and no Content-Length."""
    c = connection(server, timeout)
    try:
        c.request("POST", path, body=iter(pieces), headers=headers, encode_chunked=True)
        reply = c.getresponse()
        return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()
    finally:
        c.close()


def half_a_body(server, path, headers, sent, promised):
    """Promise a length, send less, hang up."""
    s = socket.create_connection(("127.0.0.1", server.port), 10)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {promised}"] + [f"{k}: {v}" for k, v in headers.items()]
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
    s.close()
