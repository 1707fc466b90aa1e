//! A broker that says what it is told to, for answers that no real one can be made to give.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Answers a packet, given by its type (MQTT 3.1.1, table 2.1) and what follows its fixed header, with bytes.
pub type Answer = fn(u8, &[u8]) -> Vec<u8>;

/// Listens until it is dropped.
pub struct FakeBroker {
    pub port: u16,
    task: JoinHandle<()>,
}

impl FakeBroker {
    /// Starts to listen on a port of its own.
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer));
            }
        });
        Self { port, task }
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, answer: Answer) {
    while let Ok(first) = socket.read_u8().await {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let Ok(byte) = socket.read_u8().await else { return };
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; length];
        if socket.read_exact(&mut rest).await.is_err() || socket.write_all(&answer(first >> 4, &rest)).await.is_err() {
            return;
        }
    }
}
