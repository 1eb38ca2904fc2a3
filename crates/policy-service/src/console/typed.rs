//! What a person has typed into the form of a request, for the page that says that the request failed. It is kept until that
//! request is answered, and nowhere else.

use std::sync::{Arc, Mutex, PoisonError};

use super::form::Form;

/// The form of the request that is being answered, for the page of a problem.
#[derive(Clone, Debug, Default)]
pub struct Typed(Arc<Mutex<Option<Form>>>);

impl Typed {
    /// Keeps the form until its request is answered.
    pub fn keep(&self, form: &Form) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(form.clone());
    }

    /// Takes it.
    pub fn take(&self) -> Option<Form> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
