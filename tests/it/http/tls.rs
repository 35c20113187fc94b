//! Servers that want to know who asks: a certificate is shown, or the row says that one is wanted.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::{TestJob, root};

/// Wants a certificate of the authority in its third argument.
const SERVER: &str = r#"
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(sys.argv[3])
def talk(plain):
    try:
        secure = context.wrap_socket(plain, server_side=True)
        secure.recv(65536)
        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        secure.unwrap()
    except OSError:
        pass
    plain.close()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
"#;

/// Ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .args(["valid", "key", "clients"].map(pem))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { port: port.trim().parse().unwrap(), child }
    }

    fn job(&self, tls: &str) -> TestJob {
        TestJob::new(&format!(
            "[workload.http]\nurl = \"https://localhost:{}/\"\ntls = {{ ca = \"{}\"{tls} }}",
            self.port,
            pem("authority")
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pem(name: &str) -> String {
    root().join(format!("tests/it/certs/{name}.pem")).display().to_string()
}

#[test]
fn a_client_shows_its_certificate() {
    let server = Server::start();
    let shown = format!(", cert = \"{}\", key = \"{}\"", pem("client"), pem("client-key"));
    for model in ["processes", "async"] {
        let ran = server.job(&shown).args(["--model", model]).run();
        ran.exit(0).rows("status,code,output_bytes", &["ok,200,2"]);
        let ran = server.job("").args(["--model", model]).run();
        ran.exit(3).rows(
            "status,error",
            &["failed,TLS: `localhost` wants a client certificate: set `tls = { cert = \"…\", key = \"…\" }`"],
        );
    }
}

#[test]
fn a_key_that_does_not_fit_is_found_before_anything_runs() {
    let server = Server::start();
    for (cert, key, said) in [
        ("client", "key", "the key does not fit the certificate"),
        ("valid", "client-key", "the key does not fit the certificate"),
        ("client", "client", "has no private key in PEM form"),
        ("client-key", "client-key", "has no certificate in PEM form"),
    ] {
        let tls = format!(", cert = \"{}\", key = \"{}\"", pem(cert), pem(key));
        server.job(&tls).run().exit(2).stderr_has(said);
    }
}
