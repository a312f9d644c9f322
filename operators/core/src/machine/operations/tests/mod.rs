mod adopted;
mod bmcs;
mod fixture;
mod power;
mod progress;
mod restored;
mod rules;
mod simulation;
