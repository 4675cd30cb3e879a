"""Media: upload, download and thumbnails, streamed. Spec: client-server-api#content-repository"""
