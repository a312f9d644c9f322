mod fixture;
mod power;
mod progress;
mod rules;
mod simulation;
