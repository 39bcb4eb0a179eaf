"""How the embedded model was made: pictures drawn together with their captions, and the training on them."""
