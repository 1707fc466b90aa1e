//! A TCP proxy that can stall and cut what passes through it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Nothing is read, so the senders' buffers fill up.
    Pause,
}

/// Passes bytes from its port to another until it is dropped.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    /// Grows with every cut.
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts to listen.
    pub async fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = watch::Sender::new(Mode::Pass);
        let cuts = watch::Sender::new(0);
        let (mode_rx, cuts_rx) = (mode.clone(), cuts.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target_port)).await else {
                    continue;
                };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(join(client, server, mode_rx.subscribe(), cuts_rx.subscribe()));
            }
        });
        Self { port, mode, cuts, task }
    }

    /// Stops all bytes in both directions; connections stay open.
    pub fn pause(&self) {
        self.mode.send_replace(Mode::Pause);
    }

    /// Lets bytes pass again.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(client: TcpStream, server: TcpStream, mode: watch::Receiver<Mode>, mut cuts: watch::Receiver<u64>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let number = *cuts.borrow_and_update();
    tokio::select! {
        () = copy(client_read, server_write, mode.clone()) => {}
        () = copy(server_read, client_write, mode) => {}
        _ = cuts.wait_for(|cuts| *cuts > number) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        if mode.wait_for(|mode| *mode == Mode::Pass).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = paused(&mut mode) => continue,
        };
        let Ok(bytes @ 1..) = read else { return };
        // What was read during a pause waits for its end.
        let _ = mode.wait_for(|mode| *mode == Mode::Pass).await;
        if to.write_all(buffer.get(..bytes).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

async fn paused(mode: &mut watch::Receiver<Mode>) {
    if mode.wait_for(|mode| *mode == Mode::Pause).await.is_err() {
        std::future::pending::<()>().await;
    }
}
