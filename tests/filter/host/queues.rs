//! Shared queues: one set of names for each `vm_id`, for the whole process, like `shared_queue.cc`.

use std::collections::VecDeque;

use super::status::Status;

/// A queue. Its number is its place in the list, plus one.
struct Queue {
    vm_id: String,
    name: Vec<u8>,
    /// The VM and the root context that registered the name last.
    owner: (usize, u32),
    words: VecDeque<Vec<u8>>,
}

#[derive(Default)]
pub struct Queues {
    all: Vec<Queue>,
    /// Words that their owner has not been told of, by number.
    untold: VecDeque<u32>,
    /// Whether the host permits no queues.
    pub forbidden: bool,
}

impl Queues {
    /// The number of the queue. The caller is its owner from now on.
    pub fn register(&mut self, vm_id: &str, name: &[u8], owner: (usize, u32)) -> Result<u32, Status> {
        if self.forbidden {
            return Err(Status::InternalFailure);
        }
        let known = self.all.iter().position(|queue| queue.vm_id == vm_id && queue.name == name);
        let place = known.unwrap_or(self.all.len());
        match self.all.get_mut(place) {
            Some(queue) => queue.owner = owner,
            None => {
                let (vm_id, name) = (vm_id.to_owned(), name.to_vec());
                self.all.push(Queue { vm_id, name, owner, words: VecDeque::new() });
            }
        }
        Ok(u32::try_from(place).expect("few queues") + 1)
    }

    pub fn enqueue(&mut self, number: u32, word: &[u8]) -> Result<(), Status> {
        self.find(number)?.words.push_back(word.to_vec());
        self.untold.push_back(number);
        Ok(())
    }

    pub fn dequeue(&mut self, number: u32) -> Result<Vec<u8>, Status> {
        // Envoy's own status for an empty queue is Empty, which is 7.
        self.find(number)?.words.pop_front().ok_or(Status::Empty)
    }

    /// The next owner to be told that its queue has a word: VM, root context and number.
    pub fn next_told(&mut self) -> Option<(usize, u32, u32)> {
        let number = self.untold.pop_front()?;
        let (vm, root) = self.find(number).ok()?.owner;
        Some((vm, root, number))
    }

    /// The number of words in the longest queue.
    pub fn longest(&self) -> usize {
        self.all.iter().map(|queue| queue.words.len()).max().unwrap_or_default()
    }

    fn find(&mut self, number: u32) -> Result<&mut Queue, Status> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        place.and_then(|place| self.all.get_mut(place)).ok_or(Status::NotFound)
    }
}
