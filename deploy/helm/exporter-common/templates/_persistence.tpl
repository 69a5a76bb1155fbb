{{/* Durable state on a volume: the directory, the claim and the mount. Empty without persistence.enabled. */}}

{{- define "exporter.state.directory" -}}
/var/lib/{{ .Chart.Name }}
{{- end -}}

{{- define "exporter.state.claimName" -}}
{{ .Values.persistence.existingClaim | default (include "exporter.fullname" .) }}
{{- end -}}

{{- define "exporter.state.volumeMount" -}}
{{- if .Values.persistence.enabled -}}
- name: state
  mountPath: {{ include "exporter.state.directory" . }}
{{- end -}}
{{- end -}}

{{- define "exporter.state.volume" -}}
{{- if .Values.persistence.enabled -}}
- name: state
  persistentVolumeClaim:
    claimName: {{ include "exporter.state.claimName" . }}
{{- end -}}
{{- end -}}

{{- define "exporter.persistentVolumeClaim" -}}
{{- with .Values.persistence -}}
{{- if and .enabled (not .existingClaim) -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "exporter.metadata" (dict "root" $ "annotations" .annotations) | nindent 2 }}
spec:
  accessModes:
    {{- toYaml .accessModes | nindent 4 }}
  {{- with .storageClass }}
  storageClassName: {{ ternary "" . (eq . "-") | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .size }}
{{- end -}}
{{- end -}}
{{- end -}}
