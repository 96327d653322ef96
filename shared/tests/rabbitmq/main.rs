//! The RabbitMQ transport against a real broker, named by `TEST_AMQP_URL` (with a user that may do everything in its virtual
//! host). Each test has names of its own on it, and removes them.

#![cfg(test)]

mod broker;
mod connection_errors;
mod consuming;
mod dead_letters;
mod outcomes;
mod proxy;
mod publishing;
