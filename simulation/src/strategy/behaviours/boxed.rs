//! The part of every behaviour that is the same.

macro_rules! boxed {
    () => {
        fn boxed(&self) -> Box<dyn Strategy<C>> {
            Box::new(self.clone())
        }
    };
}
