//! A TCP port that sends the same bytes to everybody who connects, as ser2net and P1 bridges do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

#[derive(Debug)]
pub(super) struct Tcp {
    listener: TcpListener,
    readers: Vec<TcpStream>,
    port: u16,
}

impl Tcp {
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, readers: Vec::new(), port })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn poll(&mut self) -> usize {
        while let Ok((reader, _)) = self.listener.accept() {
            if reader.set_nonblocking(true).is_ok() && reader.set_nodelay(true).is_ok() {
                self.readers.push(reader);
            }
        }
        // What readers say is read and forgotten; an end of it is their leaving.
        self.readers.retain_mut(|reader| {
            let mut said = [0; 256];
            loop {
                match reader.read(&mut said) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        });
        self.readers.len()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.readers.retain_mut(|reader| match reader.write(bytes) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
    }
}
