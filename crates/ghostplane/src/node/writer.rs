//! The thread that writes the log: signs each flush, writes it with its marks as one group, and says when it is durable.

use super::Inner;
use super::core::ToCore;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use ghostplane_ghostcipher::{Domain, SigningKey};
use ghostplane_sequencer::{Append, LogEntry};
use ghostplane_store::{AppendError, Cut, Frame, Log, LoggedFlush, Opened, free_bytes};
use ghostplane_types::{BatchHeader, Encode, InboxEntry, SignedFlush};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long headers wait for a group that takes them along, and how many at most; the log bounds them too.
const HEADERS_WAIT: Duration = Duration::from_millis(200);
const HEADERS_MAX: usize = 16;
/// How long to wait for anything at all.
const IDLE: Duration = Duration::from_secs(60);
/// How often a full disk is looked at again.
const DISK_LOOK: Duration = Duration::from_millis(250);
/// With less room nothing more is appended: what is left is for the L1, the history and the checkpoint, which do not wait.
const DISK_FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// With this much room the log goes on.
const DISK_FREE_BYTES_AGAIN: u64 = 80 * 1024 * 1024;

/// Something for the log.
#[expect(clippy::large_enum_variant, reason = "some dozens a second")]
pub(super) enum ToWriter {
    /// One group of the sequencer's, with the inbox entries it names.
    Append { append: Arc<Append>, inbox: Vec<InboxEntry> },
    /// A batch has its roots.
    Sealed(BatchHeader),
}

pub(super) struct Writer {
    pub(super) shared: Arc<Inner>,
    /// Gone only while it is opened again.
    pub(super) log: Option<Log>,
    pub(super) dir: PathBuf,
    pub(super) key: Arc<SigningKey>,
    /// Where the next batch's marks start.
    pub(super) position: u64,
    pub(super) inbox: u64,
}

impl Writer {
    /// Runs until nobody sends any more.
    pub(super) fn run(mut self, from: &Receiver<ToWriter>, to: &Sender<ToCore>) {
        let mut headers: Vec<BatchHeader> = Vec::new();
        loop {
            // Headers wait for the next group, so that they cost no write of their own; but not for ever.
            let first = match from.recv_timeout(if headers.is_empty() { IDLE } else { HEADERS_WAIT }) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) if headers.is_empty() => continue,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let is_idle = first.is_none();
            let mut append = None;
            let mut next = first;
            while let Some(message) = next {
                match message {
                    // The sequencer has one append in flight: a second one waits in the channel.
                    ToWriter::Append { append: one, inbox } => {
                        append = Some((one, inbox));
                        break;
                    }
                    ToWriter::Sealed(header) => headers.push(header),
                }
                next = from.try_recv().ok();
            }
            if append.is_none() && !is_idle && headers.len() < HEADERS_MAX {
                continue;
            }
            if append.is_some() && self.has_less_room_than(DISK_FREE_BYTES_MIN) {
                // As if the disk had refused it: it is asked for again.
                if self.wait_for_room(from, to, &mut headers).is_err() {
                    return;
                }
                continue;
            }
            let written = match self.write(append, &mut headers) {
                Ok(durable) => durable.map_or(Ok(()), |durable| to.send(durable).map_err(|_| ())),
                Err(AppendError::NoSpace(_)) => self.wait_for_room(from, to, &mut headers),
                Err(error) => {
                    self.shared.fail(format!("the log cannot be written: {error}"));
                    return;
                }
            };
            if written.is_err() {
                return;
            }
        }
        // What was sealed last is worth a mark, though a start would find it out by itself.
        let _ = self.write(None, &mut headers);
    }

    fn write(
        &mut self,
        append: Option<(Arc<Append>, Vec<InboxEntry>)>,
        headers: &mut Vec<BatchHeader>,
    ) -> Result<Option<ToCore>, AppendError> {
        let mut frames = Vec::new();
        let (position, inbox_at) = (self.position, self.inbox);
        let mut durable = None;
        if let Some((append, inbox)) = append {
            let signature = append.flush.as_ref().map(|flush| {
                let chain_id = self.shared.plane.chain_id();
                self.key.sign(Domain::FlushSignature, chain_id, &flush.digest(chain_id))
            });
            self.frames(&append, inbox, signature, &mut frames);
            durable = Some(ToCore::Durable { append: append.number, signature });
        }
        // A header follows its batch's cut, which may still be on its way.
        let cut = frames.iter().rev().find_map(|frame| match frame {
            Frame::Cut(cut) => Some(cut.number),
            _ => None,
        });
        let cut = cut.or_else(|| self.log.as_ref().map(|log| log.end().cut_number())).unwrap_or(0);
        let ripe = headers.iter().take_while(|header| header.number <= cut).count();
        frames.extend(headers[..ripe].iter().map(|header| Frame::Sealed(*header)));
        let Some(log) = &mut self.log else { return Err(AppendError::Poisoned) };
        if let Err(error) = log.append(&frames) {
            (self.position, self.inbox) = (position, inbox_at);
            return Err(error);
        }
        self.shared.log_end.lock().clone_from(log.end());
        headers.drain(..ripe);
        Ok(durable)
    }

    /// Inbox, flush, then the marks in order: each mark names what is before it.
    fn frames(
        &mut self,
        append: &Append,
        inbox: Vec<InboxEntry>,
        signature: Option<ghostplane_ghostcipher::Signature>,
        frames: &mut Vec<Frame>,
    ) {
        if !inbox.is_empty() {
            frames.push(Frame::Inbox(inbox));
        }
        let mut transactions = Vec::new();
        let mut marks = Vec::new();
        for entry in &append.entries {
            match entry {
                LogEntry::Opened(opening) => marks.push(Frame::Opened(Opened {
                    generation: opening.generation,
                    number: opening.number,
                    time: opening.time,
                    position: self.position,
                    inbox: self.inbox,
                })),
                LogEntry::Inbox { count, .. } => self.inbox += count,
                LogEntry::Transaction { verified, .. } => {
                    transactions.push(verified.transaction().to_bytes());
                    self.position += 1;
                }
                LogEntry::Cut { number } => {
                    marks.push(Frame::Cut(Cut { number: *number, position: self.position, inbox: self.inbox }));
                }
            }
        }
        if let Some((flush, signature)) = append.flush.zip(signature) {
            frames.push(Frame::Flush(LoggedFlush { signed: SignedFlush { flush, signature }, transactions }));
        }
        frames.extend(marks);
    }

    /// A disk that does not tell is tried.
    fn has_less_room_than(&self, bytes: u64) -> bool {
        free_bytes(&self.dir).is_ok_and(|free| free < bytes)
    }

    /// Says that the disk is full, and waits until it is not. What was not written is asked for again.
    fn wait_for_room(
        &mut self,
        from: &Receiver<ToWriter>,
        to: &Sender<ToCore>,
        headers: &mut Vec<BatchHeader>,
    ) -> Result<(), ()> {
        to.send(ToCore::DiskFull).map_err(|_| ())?;
        loop {
            match from.recv_timeout(DISK_LOOK) {
                Ok(ToWriter::Sealed(header)) => headers.push(header),
                // Void until it is asked for again.
                Ok(ToWriter::Append { .. }) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(()),
            }
            if self.has_less_room_than(DISK_FREE_BYTES_AGAIN) {
                continue;
            }
            let Some(log) = self.log.take() else { return Err(()) };
            match log.reopen() {
                Ok((log, _)) => {
                    (self.position, self.inbox) = (log.end().position, log.end().inbox);
                    self.log = Some(log);
                    return to.send(ToCore::DiskBack).map_err(|_| ());
                }
                Err(error) => {
                    self.shared.fail(format!("the log does not open again: {error}"));
                    return Err(());
                }
            }
        }
    }
}
