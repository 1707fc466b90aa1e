/** Passwords of the users that the configurations in `deploy/` have as examples. */
export const PASSWORDS = { ada: 'canary-ada', ben: 'canary-ben', cleo: 'canary-cleo' };

/** The same with bcrypt, as NATS wants them. */
export const HASHES = {
  ada: '$2a$08$abcdefghijklmnopqrstu.04vtqMo7QU5j95nL6F/6bm2foil9BVa',
  ben: '$2a$08$abcdefghijklmnopqrstu.HDBJQUbkGQeENYlusyKcyeVGK8DGAha',
  cleo: '$2a$08$abcdefghijklmnopqrstu.s4dLdum8frqodnbb/er8GKTixues..O',
};
