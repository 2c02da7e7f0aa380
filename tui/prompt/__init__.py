"""The place of prompting: demonstrations, questions and answers."""
