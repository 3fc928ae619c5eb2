//! Connections, as many at a time as there is room for; more wait in the system's queue.

use super::ACCEPT_AGAIN_AFTER;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A connection that gives its room back when it is closed.
pub(super) struct Connection {
    stream: TcpStream,
    _room: OwnedSemaphorePermit,
}

/// The connections to a listener, at most so many at a time. Dropping them closes it.
pub(super) fn connections(listener: TcpListener, most: usize) -> ReceiverStream<io::Result<Connection>> {
    let room = Arc::new(Semaphore::new(most));
    let (to, accepted) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &room, &to) => {}
            () = to.closed() => {}
        }
    });
    ReceiverStream::new(accepted)
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>, to: &mpsc::Sender<io::Result<Connection>>) {
    while let Ok(room) = Arc::clone(room).acquire_owned().await {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
            }
        };
        // Answers are small and whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        if to.send(Ok(Connection { stream, _room: room })).await.is_err() {
            return;
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio_stream::{Stream as _, StreamExt as _};

    #[tokio::test]
    async fn who_finds_no_room_waits_until_somebody_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut accepted = connections(listener, 2);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.expect("the system's queue has room"));
        }
        let first = accepted.next().await.expect("a connection").expect("a connection");
        let second = accepted.next().await.expect("a connection").expect("a connection");
        // Time enough for the third, were there room.
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut accepted).poll_next(&mut context).is_pending());
        drop(first);
        let third = accepted.next().await.expect("a connection").expect("a connection");
        assert_eq!(third.stream.peer_addr().ok(), clients[2].local_addr().ok());
        drop((second, third));

        drop(accepted);
        // The listener is gone once its task has noticed.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
