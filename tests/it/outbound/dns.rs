//! A name server on UDP whose answers change from question to question with a TTL of zero, and a resolver that asks it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use portcullis::outbound::{Found, Lookup};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

type Script = Arc<Mutex<HashMap<String, VecDeque<Vec<Ipv4Addr>>>>>;

/// The running name server; it ends when it is dropped.
pub(super) struct NameServer {
    address: SocketAddr,
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl NameServer {
    /// A server that knows no name yet.
    pub(super) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (script, asked) = (Script::default(), Arc::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(socket, Arc::clone(&script), Arc::clone(&asked)));
        Self { address, script, asked, _serving: serving }
    }

    /// Answers questions for `name` with these lists, one after the other; the last one stays.
    pub(super) fn set(&self, name: &str, answers: &[&[Ipv4Addr]]) {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        self.script.lock().unwrap().insert(name.to_owned(), answers);
    }

    /// The names that were asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What asks this server.
    pub(super) fn resolver(&self) -> Arc<dyn Lookup> {
        Arc::new(Resolver(self.address))
    }
}

struct Resolver(SocketAddr);

impl Lookup for Resolver {
    fn lookup(&self, name: &str) -> Found {
        let (server, name) = (self.0, name.to_owned());
        Box::pin(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.send_to(&question(&name), server).await?;
            let mut buffer = [0; 1500];
            let read = socket.recv(&mut buffer).await?;
            addresses(&buffer[..read], 12 + name.len() + 2 + 4)
                .ok_or(io::ErrorKind::InvalidData.into())
        })
    }
}

/// RFC 1035, 4.1: a header, one question of type A and class IN.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// The addresses of the answers that start at `at`, each of 16 bytes: a pointer to the name, then the record.
fn addresses(message: &[u8], at: usize) -> Option<Vec<IpAddr>> {
    let records = message.get(at..)?.chunks_exact(16);
    let address = |record: &[u8]| {
        let octets: [u8; 4] = record[12..].try_into().unwrap();
        IpAddr::from(octets)
    };
    Some(records.map(address).collect())
}

async fn serve(socket: UdpSocket, script: Script, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 512];
    while let Ok((read, client)) = socket.recv_from(&mut buffer).await {
        let question = &buffer[..read];
        let name = name_of(&question[12..]);
        asked.lock().unwrap().push(name.clone());
        let addresses = match script.lock().unwrap().get_mut(&name) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
            Some(answers) => answers[0].clone(),
            None => Vec::new(),
        };
        let mut message = question.to_vec();
        // An answer, and how many records.
        message[2..8].copy_from_slice(&[
            0x81,
            0x80,
            0,
            1,
            0,
            u8::try_from(addresses.len()).unwrap(),
        ]);
        for address in addresses {
            // The name above, type A, class IN, TTL 0, four bytes.
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            message.extend_from_slice(&address.octets());
        }
        drop(socket.send_to(&message, client).await);
    }
}

fn name_of(mut labels: &[u8]) -> String {
    let mut name = Vec::new();
    while let [length, rest @ ..] = labels
        && *length > 0
    {
        let (label, next) = rest.split_at(usize::from(*length));
        name.push(String::from_utf8_lossy(label).into_owned());
        labels = next;
    }
    name.join(".")
}
