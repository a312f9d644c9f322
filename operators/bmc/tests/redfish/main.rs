//! The fleet against a BMC that does what a test tells it to, on loopback.

#[cfg(test)]
mod bmc;
#[cfg(test)]
mod body;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod clear;
#[cfg(test)]
mod collection;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod http_boot_uri;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod lockout;
#[cfg(test)]
mod managers;
#[cfg(test)]
mod media;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod recent;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod responder;
#[cfg(test)]
mod session;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod sushy;
#[cfg(test)]
mod systems;
#[cfg(test)]
mod task;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod write;
