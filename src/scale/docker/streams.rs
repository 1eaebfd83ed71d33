//! The streams of a process in a container as plain readers and writers.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;

use bollard::container::LogOutput;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, Receiver};

use super::engine::Engine;

/// Pieces that wait for a reader; then the engine waits.
const PIECES: usize = 64;

/// The reading end of stdout or stderr.
pub struct Inlet {
    pieces: Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Inlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.rest.len());
        into[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// The writing end of stdin; closed when it is dropped.
pub struct Outlet {
    engine: Arc<Engine>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Outlet {
    /// Writes into what the engine opened.
    pub fn new(engine: Arc<Engine>, input: Pin<Box<dyn AsyncWrite + Send>>) -> Outlet {
        Outlet { engine, input }
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.engine.block_on(self.input.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.engine.block_on(self.input.flush())
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let _ = self.engine.block_on(self.input.shutdown());
    }
}

/// Splits what a process says into stdout and stderr.
pub fn split(
    engine: &Engine,
    mut output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + Unpin + 'static,
) -> [Inlet; 2] {
    let (stdout, from_stdout) = mpsc::channel(PIECES);
    let (stderr, from_stderr) = mpsc::channel(PIECES);
    engine.spawn(async move {
        while let Some(Ok(piece)) = output.next().await {
            let sent = match piece {
                LogOutput::StdErr { message } => stderr.send(message).await,
                LogOutput::StdOut { message } | LogOutput::Console { message } => stdout.send(message).await,
                LogOutput::StdIn { .. } => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    [from_stdout, from_stderr].map(|pieces| Inlet { pieces, rest: Bytes::new() })
}
