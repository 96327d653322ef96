//! How a connection to the gateway ends, and both its halves at the same time.

use std::os::fd::AsFd;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Client, PATIENCE};

impl Client {
    /// The same connection once more, for a task that sends while this one reads.
    pub fn sender(&self) -> TcpStream {
        let socket = self.socket.as_fd().try_clone_to_owned().unwrap();
        TcpStream::from_std(socket.into()).unwrap()
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    /// Everything until the connection ends, and whether it ended with a reset.
    pub async fn rest(&mut self) -> (String, bool) {
        let is_reset = loop {
            match timeout(PATIENCE, self.socket.read_buf(&mut self.input))
                .await
                .unwrap()
            {
                Ok(0) => break false,
                Ok(_) => {}
                Err(_) => break true,
            }
        };
        let text = String::from_utf8(std::mem::take(&mut self.input)).unwrap();
        (text, is_reset)
    }
}
