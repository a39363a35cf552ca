// Written by `npm run train:injection`.
export const MODEL = { dataHash: '', seed: 0, step: 1, slope: 1, offset: 0, threshold: 0.5, weights: '' }
