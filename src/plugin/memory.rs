//! The module's allocator: the system's, and in front of it the block of each size that was freed last.
//!
//! The host puts what it hands over, headers and shards, into memory that it has the module allocate, and the request lets
//! go of it. Such blocks have some sizes again and again, for which the system's allocator splits, merges and sorts its
//! free memory each time. Here one is laid aside for the next who asks for that size.

#![allow(unsafe_code, reason = "an allocator hands out memory; each use says why it is sound")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicPtr, Ordering::AcqRel},
};

/// Blocks up to so many bytes are the system's: for each of these sizes it has a list of its own.
const SMALL: usize = 128;
/// Sizes of blocks that are laid aside, each twice the one before: 256, 512, 1,024, 2,048, 4,096 and 8,192 bytes. Usual
/// headers have some 500 bytes, the list of them half of it, a shard 3 to 5 KiB.
const SIZES: usize = 6;
/// How all of them are aligned; what asks for more goes to the system.
const ALIGN: usize = 8;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { spare: [const { AtomicPtr::new(ptr::null_mut()) }; SIZES] };

struct Allocator {
    /// The block of each size that nobody has; null where there is none.
    spare: [AtomicPtr<u8>; SIZES],
}

/// One of the sizes of blocks that are laid aside: it serves whoever asks for no more, and for more than the size before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Class {
    number: usize,
    /// What the system is asked for.
    layout: Layout,
}

impl Class {
    #[inline(always)]
    fn of(size: usize, align: usize) -> Option<Self> {
        // Of 129 to 256 it is 7, before the subtraction.
        let number = size.checked_sub(1)?.checked_ilog2()?.checked_sub(SMALL.ilog2())?;
        let number = usize::try_from(number).ok()?;
        if number >= SIZES || align > ALIGN {
            return None;
        }
        let layout = Layout::from_size_align(SMALL << 1 << number, ALIGN).ok()?;
        Some(Self { number, layout })
    }
}

impl Allocator {
    /// Lays down `block`, null for none, and takes up what lay there.
    #[inline(always)]
    fn swap(&self, class: Class, block: *mut u8) -> *mut u8 {
        self.spare.get(class.number).map_or(block, |spare| spare.swap(block, AcqRel))
    }
}

// SAFETY: blocks come from the system's allocator and go back to it with the layout that they were asked for with, which
// follows from the caller's, and its size from that of the class. A block lies in `spare` only while nobody has it, and
// whoever takes it out has it alone.
unsafe impl GlobalAlloc for Allocator {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Class::of(layout.size(), layout.align()) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        let spare = self.swap(class, ptr::null_mut());
        // SAFETY: no size of a class is zero.
        if spare.is_null() { unsafe { System.alloc(class.layout) } } else { spare }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (block, layout) = match Class::of(layout.size(), layout.align()) {
            Some(class) => (self.swap(class, block), class.layout),
            None => (block, layout),
        };
        if !block.is_null() {
            // SAFETY: it was allocated with this layout, and nobody has it any more.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let classes = (Class::of(layout.size(), layout.align()), Class::of(size, layout.align()));
        match classes {
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (old, new) if old == new => block,
            _ => {
                // SAFETY: the caller promises that the size is good for this alignment and not zero; both blocks have room
                // for what is copied, and are not the same.
                unsafe {
                    let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}
