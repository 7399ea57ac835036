//! A pseudo-terminal that behaves like a serial port with a meter on it.
//!
//! The meter's side stays open for good and never blocks. A port's own side is held open too, so that its settings last
//! from one reader to the next and its end is never seen as a hang-up. Bytes are sent only while somebody else has the
//! port open, as a real port keeps nothing for readers that come later; who has it open is told by inotify. Where that is
//! missing, a reader may find up to one kernel buffer of old bytes.

use std::io;
use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags, inotify};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr};

#[derive(Debug)]
pub(super) struct Pty {
    /// The meter's side.
    meter: std::os::fd::OwnedFd,
    /// The port's side, held open.
    port: std::os::fd::OwnedFd,
    path: String,
    /// Opens and closes of the port by others; `None` where the system has no such watch.
    watch: Option<std::os::fd::OwnedFd>,
    /// How many others have the port open.
    readers: usize,
    /// The meter's speed, where readers must listen at it.
    baud: Option<u32>,
}

impl Pty {
    pub(super) fn open(baud: Option<u32>) -> io::Result<Self> {
        let meter = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&meter)?;
        unlockpt(&meter)?;
        let path = ptsname(&meter, Vec::new())?
            .into_string()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the pseudo-terminal's name is no text"))?;
        let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&port)?;
        settings.make_raw();
        settings.set_speed(115_200)?;
        tcsetattr(&port, OptionalActions::Now, &settings)?;
        let flags = rustix::fs::fcntl_getfl(&meter)?;
        rustix::fs::fcntl_setfl(&meter, flags | OFlags::NONBLOCK)?;
        let watch = watch(&path);
        let readers = usize::from(watch.is_none());
        Ok(Self { meter, port, path, watch, readers, baud })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn poll(&mut self) -> usize {
        self.forget_what_readers_say();
        let Some(watch) = &self.watch else { return self.readers };
        let mut space = [MaybeUninit::uninit(); 1_024];
        let mut events = inotify::Reader::new(watch, &mut space);
        while let Ok(event) = events.next() {
            let event = event.events();
            if event.contains(inotify::ReadFlags::OPEN) {
                self.readers += 1;
            }
            if event.intersects(inotify::ReadFlags::CLOSE_WRITE | inotify::ReadFlags::CLOSE_NOWRITE) {
                self.readers = self.readers.saturating_sub(1);
                if self.readers == 0 {
                    // What the last reader left is not for the next one, nor is its claim to be the only one.
                    let _ = tcflush(&self.meter, QueueSelector::OFlush);
                    let _ = tcflush(&self.port, QueueSelector::IFlush);
                    let _ = ioctl_tiocnxcl(&self.port);
                }
            }
        }
        self.readers
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.readers == 0 {
            return;
        }
        match self.baud {
            Some(baud) if !self.listens_at(baud) => self.write(&noise(bytes)),
            _ => self.write(bytes),
        }
    }

    fn listens_at(&self, baud: u32) -> bool {
        tcgetattr(&self.port).is_ok_and(|settings| settings.input_speed() == baud)
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(&self.meter, bytes) {
                Ok(0) => return,
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                // Full: nobody reads, or too slowly. A wire would not wait either.
                Err(_) => return,
            }
        }
    }

    fn forget_what_readers_say(&self) {
        let mut said = [0_u8; 256];
        while matches!(rustix::io::read(&self.meter, &mut said), Ok(count) if count > 0) {}
    }
}

/// What is heard at a wrong speed: bytes, and no sense in them.
fn noise(bytes: &[u8]) -> Vec<u8> {
    let scrambled = |(index, byte): (usize, &u8)| byte.rotate_left(3) ^ (index as u8).wrapping_mul(0x9D) | 0x80;
    bytes.iter().enumerate().map(scrambled).collect()
}

fn watch(path: &str) -> Option<std::os::fd::OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).ok()?;
    let events = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::CLOSE_NOWRITE;
    inotify::add_watch(&watch, path, events).ok()?;
    Some(watch)
}
