"""A web application of a user, run inside a sandbox."""

from flask import Flask, jsonify, request

app = Flask(__name__)
notes = []


@app.get("/")
def index():
    return f"<h1>{len(notes)} notes</h1>"


@app.post("/notes")
def add():
    notes.append(request.get_json()["text"])
    return jsonify(notes=notes), 201


app.run(host="0.0.0.0", port=5000)
