//! The module's allocator: the system's allocator, with one spare block per size class in front of it.
//!
//! The host copies headers and shards into memory that it makes the module allocate, and the request frees it. Such
//! blocks have the same few sizes again and again, and the system's allocator splits, merges and sorts its free memory
//! each time. This allocator keeps the last freed block of each size class for the next allocation of that class.

#![allow(unsafe_code, reason = "an allocator hands out memory; each use says why it is sound")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicPtr, Ordering::AcqRel},
};

/// Blocks up to this size go to the system's allocator, which has a free list for each of these sizes.
const SMALL: usize = 128;
/// Number of size classes, each twice the one before: 256, 512, 1,024, 2,048, 4,096 and 8,192 bytes. Usual headers have
/// some 500 bytes, the list of them half of that, a shard 3 to 5 KiB.
const SIZES: usize = 6;
/// Alignment of all blocks of the classes. Requests for a larger alignment go to the system's allocator.
const ALIGN: usize = 8;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { spare: [const { AtomicPtr::new(ptr::null_mut()) }; SIZES] };

struct Allocator {
    /// The spare block of each class. Null if there is none.
    spare: [AtomicPtr<u8>; SIZES],
}

/// A size class. It serves requests of at most its size and more than the size of the class below.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Class {
    number: usize,
    /// The layout that the system's allocator gets.
    layout: Layout,
}

impl Class {
    #[inline(always)]
    fn of(size: usize, align: usize) -> Option<Self> {
        // For sizes from 129 to 256, the logarithm is 7 before the subtraction.
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
    /// Stores `block` (null for none) as the spare block, and returns the previous one.
    #[inline(always)]
    fn swap(&self, class: Class, block: *mut u8) -> *mut u8 {
        self.spare.get(class.number).map_or(block, |spare| spare.swap(block, AcqRel))
    }
}

// SAFETY: blocks come from the system's allocator and go back to it with the layout of their allocation. That layout
// follows from the caller's layout: it has the size of the class. A block is in `spare` only while nobody owns it, and
// the atomic swap gives it to one caller only.
unsafe impl GlobalAlloc for Allocator {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Class::of(layout.size(), layout.align()) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        let spare = self.swap(class, ptr::null_mut());
        // SAFETY: no class has size zero.
        if spare.is_null() { unsafe { System.alloc(class.layout) } } else { spare }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (block, layout) = match Class::of(layout.size(), layout.align()) {
            Some(class) => (self.swap(class, block), class.layout),
            None => (block, layout),
        };
        if !block.is_null() {
            // SAFETY: the block was allocated with this layout, and nobody owns it any more.
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
                // SAFETY: the caller promises that the size is valid for this alignment and not zero. Both blocks have
                // room for the bytes that are copied, and they are different blocks.
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
